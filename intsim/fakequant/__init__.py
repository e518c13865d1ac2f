"""Fake quantization in PyTorch: float arithmetic between fake quantizers, as training and exported programs have it.

ops: PyTorch's form of each op. twin: a graph evaluated with them. exported_program, fake_quantized: programs that
torch.export made, and what they quantize on their way.
"""
