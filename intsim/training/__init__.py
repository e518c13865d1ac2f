"""Training: a PyTorch network becomes a quantized one whose forward pass is the integer engine's arithmetic."""

from __future__ import annotations

from intsim.training.evaluate import Evaluation, evaluate, float_outputs
from intsim.training.fit import fit
from intsim.training.losses import Loss
from intsim.training.quantize import quantize
from intsim.training.quantized_module import QuantizedModule
from intsim.training.recipe import Recipe

__all__ = ["Evaluation", "Loss", "QuantizedModule", "Recipe", "evaluate", "fit", "float_outputs", "quantize"]
