"""What must not be in the packages at all: unpickling, remote code, shells, archives unpacked unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for name in ("orchestrator", "methods", "backbones") for path in (ROOT / name).rglob("*.py"))
UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
CALLS = {
    "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pandas.read_pickle",
    "os.system", "eval", "exec", "torch.hub.load",
}  # fmt: skip
WITHOUT_WEIGHTS = ("Config", "Processor", "FeatureExtractor", "Tokenizer")
METHODS = {"extractall", "get_pickled_error"}
SETTINGS = {"trust_remote_code", "allow_pickle", "shell"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source: str) -> list[str]:
    """What in a module could run somebody else's code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if UNPICKLERS & set(alias.name.split("."))]
        if isinstance(node, ast.ImportFrom):
            names = {*(node.module or "").split("."), *(alias.name for alias in node.names)}
            found += sorted(UNPICKLERS & names)
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in CALLS or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
                found.append(name)
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in SETTINGS and not off:
                    found.append(f"{keyword.arg}=")
            model = name.endswith(".from_pretrained") and not any(kind in name for kind in WITHOUT_WEIGHTS)
            settings = {keyword.arg: keyword.value for keyword in node.keywords}
            safe = settings.get("use_safetensors")
            if model and not (isinstance(safe, ast.Constant) and safe.value is True):
                found.append(f"{name} without use_safetensors=True")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_runs_nobody_elses_code(path):
    assert dangers(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from ray import cloudpickle", "from ray.cloudpickle import loads", "import joblib as j",
        "torch.load(path)", "yaml.load(text)", "np.load(path, allow_pickle=True)", "f(trust_remote_code=flag)",
        "subprocess.run(command, shell=True)", "tar.extractall(folder)", "eval(text)",
        "AutoModel.from_pretrained(name)", "AutoModel.from_pretrained(name, use_safetensors=False)",
    ],
)  # fmt: skip
def test_the_check_finds_each_danger(source):
    assert dangers(source)


def test_the_packages_are_found():
    assert len(MODULES) > 50
