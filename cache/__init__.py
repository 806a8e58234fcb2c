"""What is kept: blobs, snapshots, the index of cache records, digests of files, leases.

Knows nothing of Dockerfiles, processes or mount(2). Read in this order:

errors, digest, descriptor    the base of all errors; digests; descriptors, layers, chain ids
statedir, database            where each thing lies on disk; file locks; the tables of the index
content/, filehash, leases    blobs by digest; digests of file sets; what a running build holds
snapshot/, index/             root filesystems; cache records and images
gc, usage                     what can go, and how much that frees
"""
