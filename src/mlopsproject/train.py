"""Train a network and ship it: `python -m mlopsproject.train key=value …`."""

from __future__ import annotations

from omegaconf import DictConfig

from mlopsproject.config import output_folder, run_job


def _train(config: DictConfig) -> None:
    # PyTorch takes seconds to import, which a typo in a key need not wait for.
    from mlopsproject.training.run import train

    train(config, output_folder())


def main() -> None:
    """Run from the command line."""
    run_job("train", _train)


if __name__ == "__main__":
    main()
