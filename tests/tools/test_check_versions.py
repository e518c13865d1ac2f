from __future__ import annotations

from packaging.requirements import Requirement

from tools.check_versions import ROOT, TESTS, pinned, requirements


def test_each_end_of_a_range() -> None:
    assert pinned(Requirement("numpy>=2.2,<2.5"), "lowest") == "numpy==2.2"
    assert Requirement(pinned(Requirement("numpy>=2.2,<2.5"), "highest")) == Requirement("numpy<2.5,>=2.2")
    assert pinned(Requirement("torch==2.13.0"), "lowest") == "torch==2.13.0"


def test_what_is_installed() -> None:
    names = [requirement.name for requirement in requirements(torch=False)]
    assert {"numpy", "numba", "onnx", "onnxruntime", "matplotlib", "pillow", "pytest", "hypothesis"} <= set(names)
    assert "torch" not in names and "torch" in [requirement.name for requirement in requirements(torch=True)]
    assert all(not requirement.extras for requirement in requirements(torch=True))


def test_the_tests_are_there() -> None:
    assert all((ROOT / test).exists() for test in TESTS)
