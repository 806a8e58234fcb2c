"""Files between this machine, archives and containers: `cp` and `export`.

    entries   what is copied: one file, directory, link, ... and its content
    walk      a tree → entries
    archive   a tar ↔ entries
    extract   entries → a tree
    places    what a path of `cp` means, and where its entries go

Both ends are hostile, and may change while they are copied: everything is opened below a directory
that is open already, links lead nowhere but below a container's root, and what is there is never
opened for writing: a new file takes its place.
"""
