"""How fast the whole is on this machine: each figure beside a limit or a peer that is measured in the same run."""
