"""The meaning of every op, on unbounded integers: the definition that kernels, vectors and hardware are judged by.

A function takes integer arrays of any integer dtype (object arrays of Python integers too) and gives int64, or object
where a result does not fit. Wrong parameters raise OutOfDomain. A Python integer gives an array without axes.
"""

from __future__ import annotations

from intsim.spec.add import add
from intsim.spec.add_float32 import add_float32
from intsim.spec.add_quotient import add_quotient
from intsim.spec.average_pool import average_pool
from intsim.spec.average_pool_float32 import average_pool_float32
from intsim.spec.average_pool_quotient import average_pool_quotient
from intsim.spec.clip import clip
from intsim.spec.concat import concat
from intsim.spec.constant import constant
from intsim.spec.conv import conv
from intsim.spec.copy import copy
from intsim.spec.depth_to_space import depth_to_space
from intsim.spec.dequantize_float32 import dequantize_float32
from intsim.spec.flatten import flatten
from intsim.spec.island import island
from intsim.spec.leaky_relu import leaky_relu
from intsim.spec.matmul import matmul
from intsim.spec.max_pool import max_pool
from intsim.spec.mul import mul
from intsim.spec.mul_float32 import mul_float32
from intsim.spec.pad import pad
from intsim.spec.post_conv import post_conv
from intsim.spec.post_matmul import post_matmul
from intsim.spec.post_table import post_table
from intsim.spec.quantize import quantize
from intsim.spec.quantize_float32 import quantize_float32
from intsim.spec.quantize_qonnx import quantize_qonnx
from intsim.spec.reduce_max import reduce_max
from intsim.spec.reduce_mean import reduce_mean
from intsim.spec.reduce_mean_float32 import reduce_mean_float32
from intsim.spec.reduce_mean_xnnpack import reduce_mean_xnnpack
from intsim.spec.reduce_sum import reduce_sum
from intsim.spec.requantize import requantize
from intsim.spec.requantize_cmsis_nn import requantize_cmsis_nn
from intsim.spec.requantize_cmsis_nn_single import requantize_cmsis_nn_single
from intsim.spec.requantize_float32 import requantize_float32
from intsim.spec.requantize_gemmini import requantize_gemmini
from intsim.spec.requantize_max7800x import requantize_max7800x
from intsim.spec.requantize_nemo import requantize_nemo
from intsim.spec.requantize_nngen import requantize_nngen
from intsim.spec.requantize_nvdla import requantize_nvdla
from intsim.spec.requantize_onnx_reference import requantize_onnx_reference
from intsim.spec.requantize_pulp import requantize_pulp
from intsim.spec.requantize_quotient import requantize_quotient
from intsim.spec.requantize_tflite import requantize_tflite
from intsim.spec.requantize_tflite_float64 import requantize_tflite_float64
from intsim.spec.requantize_tflite_int64 import requantize_tflite_int64
from intsim.spec.requantize_tflite_single import requantize_tflite_single
from intsim.spec.requantize_tosa import requantize_tosa
from intsim.spec.requantize_xnnpack_fp32 import requantize_xnnpack_fp32
from intsim.spec.requantize_xnnpack_rndnu import requantize_xnnpack_rndnu
from intsim.spec.reshape import reshape
from intsim.spec.resize_nearest import resize_nearest
from intsim.spec.rounding import divide, shift_right
from intsim.spec.saturate import saturate, wrap
from intsim.spec.slice import slice
from intsim.spec.squeeze import squeeze
from intsim.spec.sub import sub
from intsim.spec.table import table
from intsim.spec.transpose import transpose
from intsim.spec.unsqueeze import unsqueeze

__all__ = [
    "add",
    "add_float32",
    "add_quotient",
    "average_pool",
    "average_pool_float32",
    "average_pool_quotient",
    "clip",
    "concat",
    "constant",
    "conv",
    "copy",
    "depth_to_space",
    "dequantize_float32",
    "divide",
    "flatten",
    "island",
    "leaky_relu",
    "matmul",
    "max_pool",
    "mul",
    "mul_float32",
    "pad",
    "post_conv",
    "post_matmul",
    "post_table",
    "quantize",
    "quantize_float32",
    "quantize_qonnx",
    "reduce_max",
    "reduce_mean",
    "reduce_mean_float32",
    "reduce_mean_xnnpack",
    "reduce_sum",
    "requantize",
    "requantize_cmsis_nn",
    "requantize_cmsis_nn_single",
    "requantize_float32",
    "requantize_gemmini",
    "requantize_max7800x",
    "requantize_nemo",
    "requantize_nngen",
    "requantize_nvdla",
    "requantize_onnx_reference",
    "requantize_pulp",
    "requantize_quotient",
    "requantize_tflite",
    "requantize_tflite_float64",
    "requantize_tflite_int64",
    "requantize_tflite_single",
    "requantize_tosa",
    "requantize_xnnpack_fp32",
    "requantize_xnnpack_rndnu",
    "reshape",
    "resize_nearest",
    "saturate",
    "shift_right",
    "slice",
    "squeeze",
    "sub",
    "table",
    "transpose",
    "unsqueeze",
    "wrap",
]
