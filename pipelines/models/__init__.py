"""Models that a hospital brings: put into the model store, named in a route, run as they are.

    store        the folder of models, each pinned by the digest of its files; imports nothing of theirs
    description  what a bundle says about itself, as a manifest
    terms        names of labels -> coded concepts of PS3.16
    --- below this line only in a worker ---
    bundle       a MONAI bundle as a pipeline
    adapting     its configuration, pointed at images in memory and at this node's device
    received, inverting  what stands there for LoadImage and Invertd
    own_modules  its `scripts`, apart from those of other bundles
    grids        voxels between the patient's coordinates (LPS) and MONAI's (RAS)
    answers      what its network says, as findings
"""
