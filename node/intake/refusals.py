"""Why an object is not taken.

    Refused
    ├── InvalidUID            the command names no instance, or with something that is no UID
    ├── ContextMismatch       the command's SOP class is not the one of its presentation context
    ├── NotTaken              a SOP class or transfer syntax that an association would not have agreed on
    ├── NotAFile              a part of a request that is no DICOM file (PS3.10)
    ├── OverLimit             more bytes than this node takes for one object
    └── DataSetRefused        found while walking the received data set
        ├── Truncated         an element, item or sequence runs beyond the end of the data
        ├── Undecodable       not a data set in the agreed transfer syntax, nor in its sibling
        ├── TooComplex        deeper or longer than any reader should follow
        ├── MissingIdentity   no Study or Series Instance UID
        └── IdentityMismatch  the data set is another object than the command says, or two at once

Which status a peer is answered with is in `node/statuses.py`, nowhere else. Messages are for the log: they
name tags and byte positions, never values of a patient.
"""

from __future__ import annotations


class Refused(Exception):
    """The object is not taken, and sending the same bytes again does not help."""


class InvalidUID(Refused):
    """The sender must name the SOP class and instance with UIDs of PS3.5 9.1."""


class ContextMismatch(Refused):
    """The sender must use the presentation context of the object's SOP class."""


class NotTaken(Refused):
    """Convert the object to another transfer syntax, or send it elsewhere."""


class NotAFile(Refused):
    """The sender must send whole files, with preamble and File Meta Information, as application/dicom."""


class OverLimit(Refused):
    """Raise `max_object` if objects of this size are expected."""


class DataSetRefused(Refused):
    """The data set cannot be kept as what it claims to be; its bytes are in the quarantine."""


class Truncated(DataSetRefused):
    """The sender must send the whole object."""


class Undecodable(DataSetRefused):
    """The sender must encode the data set as agreed for its presentation context."""


class TooComplex(DataSetRefused):
    """Too many elements or too deep a nesting for one object."""


class MissingIdentity(DataSetRefused):
    """The sender must fill Study and Series Instance UID."""


class IdentityMismatch(DataSetRefused):
    """The sender must announce the object under the UIDs that its data set has."""
