"""A tree of files as a layer's tar and back."""
