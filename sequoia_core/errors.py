"""Errors a user can mend. Each message is one sentence or two: what is wrong, what to do."""


class SequoiaError(Exception):
    """Base of every error that pages and commands show to the user as it stands."""


class InputError(SequoiaError):
    """A value the user gave is missing, out of range or of the wrong kind."""


class FileFormatError(SequoiaError):
    """A file is missing, is not what it claims to be, or holds a bad value."""


class ModelError(SequoiaError):
    """A model cannot be found, loaded, paired with the other one, or drafted for with trees."""


class ProcessError(SequoiaError):
    """What one of several processes says because the others cannot."""


class EndedElsewhereError(SequoiaError):
    """Another process of the run has failed and says why; this one only ends."""
