"""The GPU machine's check runs its commands in order and stops at the first that fails."""

import gpu_check
import pytest


@pytest.mark.parametrize(
    ("codes", "ran"),
    [
        ({}, ["verify", "profile", "bench", "bench"]),
        ({"verify": 1}, ["verify"]),
        ({"profile": 2}, ["verify", "profile"]),
    ],
)
def test_the_check_stops_at_the_first_command_that_fails(monkeypatch, tmp_path, codes, ran):
    seen = []

    def command(argv):
        seen.append(argv[0])
        return codes.get(argv[0], 0)

    monkeypatch.setattr(gpu_check, "command", command)
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--out", str(tmp_path / "out")])
    assert gpu_check.main() == max(codes.values(), default=0)
    assert seen == ran
