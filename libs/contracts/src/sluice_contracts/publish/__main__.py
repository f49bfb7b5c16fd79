"""`python -m sluice_contracts.publish docs/topics` writes the published contracts and removes those that are gone."""

from __future__ import annotations

import sys
from pathlib import Path

from sluice_contracts.publish.documents import documents, is_generated


def publish(folder: Path) -> None:
    """Make the generated files in `folder` exactly the published contracts; other files stay."""
    wanted = {folder / name: text for name, text in documents().items()}
    present = [*folder.glob("*.yaml"), *folder.glob("schemas/*.json")]
    for path in present:
        if path not in wanted and is_generated(path.read_text(encoding="utf-8")):
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m sluice_contracts.publish FOLDER")
    publish(Path(sys.argv[1]))
