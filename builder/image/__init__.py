"""OCI images: model, codec, references, the image store."""
