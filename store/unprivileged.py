"""Runs a program without root's rights: Postgres refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from models.errors import ConfigError

USER = "nobody"

# The secure bit makes access(2), with which Postgres looks for its own programs, heed the
# capability as well.
_REACH_ANY_FOLDER = (
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
)


def is_root() -> bool:
    return os.geteuid() == 0


def give_to_user(path: Path) -> None:
    """Make `path` belong to the unprivileged user; nothing to do unless we are root."""
    if is_root():
        account = _account()
        os.chown(path, account.pw_uid, account.pw_gid)


def without_root(program: Path, folder: Path) -> tuple[str, ...]:
    """Return the words that, put before a command line, run it without root's rights.

    Empty unless we are root. The user gets no capability where it can reach `program` and
    `folder` by itself; below a private folder (mode 0700) it gets ``dac_override``, which lets
    it through. A parent death signal set before the exec survives the change of user.

    Raises
    ------
    ConfigError
        Neither way works here, for want of ``setpriv`` or of the capability.
    """
    if not is_root():
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigError(
            "Postgres does not run as root and `setpriv` (package util-linux) is not installed; "
            "install it, run as another user, or set DATABASE_URL"
        )
    account = _account()
    drop = (
        setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups",
        "--pdeathsig=keep",
    )  # fmt: skip
    complaint = ""
    for words in (drop, (*drop, *_REACH_ANY_FOLDER)):
        # Entered rather than asked about: access(2), and so `test -x`, ignores capabilities.
        tries = (("sh", "-c", 'cd "$0"', str(folder)), (str(program), "--version"))
        results = [
            subprocess.run([*words, *command], capture_output=True, text=True)  # noqa: S603
            for command in tries
        ]
        if all(result.returncode == 0 for result in results):
            return words
        complaint = next((r.stderr.strip() for r in results if r.stderr.strip()), complaint)
    raise ConfigError(
        f"Postgres does not run as root, and user {USER!r} can't reach {program} and {folder}"
        f"{f' ({complaint})' if complaint else ''}; run as another user, open these folders to "
        "it, or set DATABASE_URL"
    )


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        raise ConfigError(
            f"Postgres does not run as root and there is no user {USER!r} to run it; "
            "create it, run as another user, or set DATABASE_URL"
        ) from None
