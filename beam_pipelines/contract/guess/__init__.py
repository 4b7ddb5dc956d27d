"""A contract made from data: what its rows look like, as far as a sample tells."""

from beam_pipelines.contract.guess.contracts import Guess, guess_contract
from beam_pipelines.contract.guess.fields import Column, guess_field

__all__ = ["Column", "Guess", "guess_contract", "guess_field"]
