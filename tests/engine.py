"""A real local engine for the tests: llama.cpp's own server with a model made on the spot.

The models have random weights from a fixed seed, two layers of 64 dimensions and a vocabulary of
bytes and printable characters: half a megabyte, no download, greedy, the same answer on every run.
`tiny-ascii` says printable ASCII only; `tiny-bytes` says any bytes, so that its streams often
begin with what is no character by itself (where llama.cpp leaves `message_start` out).
`python -m tests.engine FILE PORT` serves one until killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.doubles.holes import free_port

ASCII, BYTES = "tiny-ascii", "tiny-bytes"
CONTEXT_TOKENS = 8192
PATIENCE_S = 60.0  # a loaded machine; it usually takes well under a second
_WIDTH, _LAYERS, _HEADS, _HIDDEN = 64, 2, 4, 128
_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


class Engine(NamedTuple):
    """Where it listens (no version segment), the model it serves, and its process."""

    url: str
    model: str
    process: subprocess.Popen[bytes]


def _vocabulary() -> tuple[list[bytes], list[float], list[int], int]:
    """Tokens, scores, types, and the id of the first printable one."""
    from gguf import TokenType

    tokens = [b"<unk>", b"<s>", b"</s>"]
    types = [int(TokenType.UNKNOWN), int(TokenType.CONTROL), int(TokenType.CONTROL)]
    tokens += [b"<0x%02X>" % byte for byte in range(256)]
    types += [int(TokenType.BYTE)] * 256
    printable = len(tokens)
    tokens += [bytes([byte]) for byte in range(33, 127)]
    types += [int(TokenType.NORMAL)] * (len(tokens) - printable)
    tokens.append("▁".encode())  # the blank, in this tokenizer's spelling
    types.append(int(TokenType.NORMAL))
    return tokens, [-float(at) for at in range(len(tokens))], types, printable


def build(path: Path, model: str, seed: int = 7) -> None:
    """Write the model of this name."""
    import gguf
    import numpy as np

    tokens, scores, types, printable = _vocabulary()
    dice = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return dice.normal(0.0, columns**-0.5, (rows, columns)).astype(np.float32)

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(model)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template(_TEMPLATE)
    ones = np.ones(_WIDTH, dtype=np.float32)
    writer.add_tensor("token_embd.weight", matrix(len(tokens), _WIDTH) * 4)
    writer.add_tensor("output_norm.weight", ones)
    output = matrix(len(tokens), _WIDTH) * 4
    silent = slice(printable) if model == ASCII else slice(3)
    output[silent] = 0  # a logit of 0 never wins against the best of the rest
    writer.add_tensor("output.weight", output)
    for layer in range(_LAYERS):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{block}{part}.weight", matrix(_WIDTH, _WIDTH))
        writer.add_tensor(block + "ffn_norm.weight", ones)
        writer.add_tensor(block + "ffn_gate.weight", matrix(_HIDDEN, _WIDTH))
        writer.add_tensor(block + "ffn_up.weight", matrix(_HIDDEN, _WIDTH))
        writer.add_tensor(block + "ffn_down.weight", matrix(_WIDTH, _HIDDEN))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(model: str, port: int) -> None:
    """Serve the model on this loopback port until killed."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = [Path(model).stem]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.n_predict = 48
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.warmup = False
    params.cache_prompt = False
    params.sampling.temp = 0.0
    server = xllamacpp.Server(params)
    while server.listening_address:
        time.sleep(3600)


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the engine is not there: {log.read_text()[-2000:]}")


@contextmanager
def engine(folder: Path, model: str = ASCII) -> Iterator[Engine]:
    """The engine, ready; its model is built in `folder` where it is not there yet."""
    file = folder / f"{model}.gguf"
    if not file.exists():
        part = file.with_suffix(f".{os.getpid()}")  # two test processes may build at once
        build(part, model)
        part.replace(file)
    port = free_port()
    log = folder / f"engine-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine", str(file), str(port)],
            cwd=Path(__file__).parents[1],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _ready(url, process, log)
        yield Engine(url, model, process)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
