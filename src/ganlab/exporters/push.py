"""Exports on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError
from ganlab.exporters import refuse_without
from ganlab.runs import exported

SPACES = ("demo",)  # formats that a Space runs


@dataclass(frozen=True)
class Account:
    """Somebody who is logged in, and a repository to push to.

    Args:
        name: OWNER/NAME.
        hub: The client.
    """

    name: str
    hub: Any

    def push(self, folder: Path, form: str, private: bool) -> str:
        """Make the repository if there is none, and upload a folder in one commit; return its address.

        Raises:
            GanlabError: If the Hub refuses, or cannot be reached.
        """
        space = form in SPACES
        kind: dict[str, Any] = {"repo_type": "space" if space else "model"}
        try:
            made = {**kind, "space_sdk": "gradio"} if space else kind
            address = self.hub.create_repo(self.name, private=private, exist_ok=True, **made)
            self.hub.upload_folder(repo_id=self.name, folder_path=folder, commit_message="Export of ganlab", **kind)
        except Exception as error:  # its own, those of its HTTP client, and the system's
            raise GanlabError(
                f"push={self.name} failed, and {folder} is there to try again: {exported.hub_reason(error)}"
            ) from error
        return str(address)


def account(name: str) -> Account:
    """Return who is logged in.

    Raises:
        GanlabError: If nobody is, the name is none, or huggingface_hub is not installed.
    """
    exported.refuse_hub_name(name, f"push={name}")
    refuse_without(("huggingface_hub",), f"push={name}")
    import huggingface_hub

    if huggingface_hub.get_token() is None:
        raise GanlabError(f"push={name} needs a login: run `hf auth login` first, or set HF_TOKEN.")
    return Account(name, huggingface_hub.HfApi())
