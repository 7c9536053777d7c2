"""What the PanDA pilot calls around the job (standard library only, Python >= 3.9).

The modules of this folder are those that pilot 3 imports by name as `pilot.user.imsim.<module>`; what they do is in
`core`, which knows nothing of the pilot and meets `lsst-trf` in the files of the work folder.
"""
