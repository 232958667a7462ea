"""PyTorch's side of the benchmark: reads one JSON job a line, answers one JSON line for each. Stays alive, so that ours and theirs can take turns."""
import json, resource, sys, time

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

# Denormals make PyTorch's CPU step up to ten times slower; TensorFlow flushes them. Without this the comparison would be unfair to PyTorch.
torch.set_flush_denormal(True)
torch.manual_seed(0)
SHAPES = {
    "gpt2-small": lambda length: GPT2LMHeadModel(GPT2Config(n_positions=max(1024, length), attn_pdrop=0, resid_pdrop=0, embd_pdrop=0)),
    "smollm2-135m": lambda length: LlamaForCausalLM(LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True, rope_theta=100000.0, max_position_embeddings=8192)),
}


def trainable(model, job):
    """Opens the upper blocks and the final norm, as our side does."""
    names = set(job["trainable"])
    parameters = dict(model.named_parameters())
    missing = names - set(parameters)
    if missing:
        raise ValueError(f"no such parameter: {sorted(missing)[:3]}")
    for name, parameter in parameters.items():
        parameter.requires_grad = name in names
    return [parameters[name] for name in job["trainable"]]


class Training:
    def __init__(self, job):
        self.job = job
        self.model = SHAPES[job["shape"]](job["length"])
        self.model.train()
        parameters = trainable(self.model, job)
        self.parameters = parameters
        self.forward = torch.compile(self.model) if job.get("compiled") else self.model
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0, fused=True)
        generator = torch.Generator().manual_seed(1)
        vocab = self.model.config.vocab_size
        self.ids = torch.randint(0, vocab, (job["batch"], job["length"]), generator=generator)
        self.labels = self.ids.clone()
        self.labels[:, : job["length"] - job["labels_per_row"]] = -100

    def step(self):
        started = time.perf_counter()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.job["bf16"]):
            loss = self.forward(self.ids, labels=self.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return time.perf_counter() - started, loss.item()


def matmul(job):
    """Best of several products of n x n matrices, GFLOP/s."""
    n = job["n"]
    dtype = torch.bfloat16 if job["bf16"] else torch.float32
    a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    best = 1e9
    for _ in range(job["repeats"]):
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * n**3 / best / 1e9


current = None
for line in sys.stdin:
    job = json.loads(line)
    try:
        if job["kind"] == "hello":
            torch.set_num_threads(job["threads"])
            answer = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()}
        elif job["kind"] == "matmul":
            answer = {"gflops": matmul(job)}
        elif job["kind"] == "open":
            current = None
            current = Training(job)
            answer = {"parameters": sum(p.numel() for p in current.model.parameters())}
        elif job["kind"] == "step":
            seconds, loss = current.step()
            answer = {"seconds": seconds, "loss": loss}
        elif job["kind"] == "close":
            current = None
            answer = {"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    except Exception as error:  # the benchmark goes on without this row
        answer = {"error": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps(answer), flush=True)
