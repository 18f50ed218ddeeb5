"""A registry that behaves as OCIR is documented to: a model of documented behaviour, unverified against OCI.

A TLS front stands before a real `distribution` registry. The front issues the tokens, and distribution itself
checks them; rules that OCIR is documented (or reported) to have, and faults for tests, are applied on the way
through. Nothing here was ever compared with a live OCIR: where the documentation gives no status code or
wording, the choice made is named as a choice beside the code.

Commands: `python -m sandbox.double --config FILE` serves in the foreground;
`python -m sandbox.double.keys --directory DIR` creates the signing key and its certificate;
`python -m sandbox.double.distribution --config FILE --storage DIR --output FILE` writes distribution's file.
"""
