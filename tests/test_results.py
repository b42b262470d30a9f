"""What results.json says beside metrics."""

import pytest

from sentence_order import results


def test_a_package_that_is_not_installed_has_an_unknown_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """As this one is where it runs from its source tree."""
    monkeypatch.setattr(results, "PACKAGES", ("a-package-that-nobody-has", "torch"))
    versions = results.provenance()["versions"]
    assert versions["a-package-that-nobody-has"] == "unknown"
    assert versions["torch"].startswith("2.")
