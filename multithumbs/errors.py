"""The errors that a user can meet.

Every message is one line: what is wrong, what was expected, what to do. The command line
prints it without a traceback and exits with `exit_code`. Anything else that escapes is a
bug of ours and keeps its traceback.
"""


class MultithumbsError(Exception):
    """Root of all errors that are the input's or the environment's fault, not the code's."""

    exit_code = 1


class ConfigError(MultithumbsError):
    """An unknown key, an unknown back-end, or a value out of its bounds."""

    exit_code = 2


class VideoError(MultithumbsError):
    """The input is missing, not a video, or holds no frame that can be decoded."""

    exit_code = 3


class BackendUnavailable(MultithumbsError):
    """A chosen back-end needs a package or a device that this machine lacks."""

    exit_code = 4


class CheckpointError(MultithumbsError):
    """A weight file is missing, corrupt, of the wrong kind, or refused as unsafe."""

    exit_code = 5


class ArtifactError(MultithumbsError):
    """A stored artifact cannot be read or written: corrupted, foreign, or no space left."""

    exit_code = 6
