/**
 * A training as a Python script for torch, transformers and PEFT, so that nobody is locked in: the same rows in the same order, the same
 * masks, optimizer and schedule. What the script cannot say is listed, never left out in silence.
 */
import type { Registry } from './define-node'
import type { Pipeline } from './graph'
import { type Facts, inferGraph } from './infer'

export type PythonScript = { text: string; notes: readonly string[] }

/** Settings that the script knows; others are named where they differ from their default. */
const KNOWN = new Set([
  ...['method', 'r', 'lora_alpha', 'lora_dropout', 'target_modules', 'target_names', 'init_lora_weights'],
  ...['learning_rate', 'num_train_epochs', 'max_steps', 'per_device_train_batch_size', 'gradient_accumulation_steps', 'max_length'],
  ...['lr_scheduler_type', 'warmup_steps', 'num_cycles', 'min_lr_rate', 'power', 'optim', 'adam_beta1', 'adam_beta2', 'adam_epsilon'],
  ...[
    'weight_decay',
    'max_grad_norm',
    'momentum',
    'nesterov',
    'eval_steps',
    'per_device_eval_batch_size',
    'load_best_model_at_end',
    'seed',
  ],
  ...['train_on', 'logging_steps', 'cache_frozen_prefix', 'bf16'],
])
const OPTIMIZERS: readonly string[] = ['adamw', 'sgd']

/**
 * The script of one Train node. `facts` are what the canvas knows of files and models; settings left at `auto` are written as the values they
 * stand for. Null when the node is no Train node.
 */
export function pythonScript(document: Pipeline, registry: Registry, facts: Facts, node: string, madeWith: string): PythonScript | null {
  if (document.nodes[node]?.type !== 'train') return null
  const inferred = inferGraph(document, registry, facts).nodes[node]
  if (!inferred?.params) return null
  const settings: Record<string, unknown> = { ...inferred.params, ...inferred.resolved }
  const notes: string[] = []
  for (const [name, value] of Object.entries(settings)) {
    if (value === 'auto' && name !== 'bf16') notes.push(`${name} is automatic, and its value is known only in Thaw: set it in the script.`)
    const standard = (inferred.def?.params.shape[name] as { def?: { defaultValue?: unknown } } | undefined)?.def?.defaultValue
    if (!KNOWN.has(name) && JSON.stringify(value) !== JSON.stringify(standard))
      notes.push(`${name} = ${JSON.stringify(value)} is not in the script.`)
  }
  if (typeof settings.optim === 'string' && !OPTIMIZERS.includes(settings.optim))
    notes.push(`The optimizer ${settings.optim} is written as AdamW.`)
  const model = inferred.inputs.model?.kind === 'model' ? inferred.inputs.model.facts : null
  const lora = settings.method !== undefined && settings.method !== 'full'
  if (lora) notes.push('The first matrices of an adapter are drawn by another generator, so losses agree at the first step only.')
  const trainable = model?.trainable?.names ?? null
  const origin = originOf(document, node)
  if (origin.between.length)
    notes.push(`Rows pass ${origin.between.join(', ')} before Train: download them from the wire into Train, as the script expects.`)
  const config = {
    ...Object.fromEntries([...KNOWN].flatMap((name) => (name in settings ? [[name, settings[name]]] : []))),
    trainable: lora ? null : trainable,
  }
  const lines = [
    '"""',
    `A fine-tuning made with Thaw ${madeWith || ''}, as a script of its own. It needs torch and transformers${lora ? ', and peft' : ''}.`,
    '',
    '    python train.py --model MODEL --train train.jsonl [--validation validation.jsonl] [--out tuned]',
    '',
    `MODEL is a folder or a name on the Hub${origin.model ? `; the pipeline used ${cleanDoc(origin.model)}` : ''}. The rows are those on the wires into Train,`,
    'downloaded from Thaw as JSONL: prompt and completion, messages, or text. They come in the same order and are masked in the same way, so the',
    'losses are those of the run, up to rounding.',
    ...(notes.length ? ['', ...notes.map((note) => `Note: ${cleanDoc(note)}`)] : []),
    '"""',
    'import argparse, json, math',
    '',
    'import torch',
    'from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler',
    '',
    `SETTINGS = json.loads(r'''${JSON.stringify(config, null, 1).replaceAll("'''", '\\u0027\\u0027\\u0027')}''')`,
    PROGRAM,
  ]
  return { text: lines.join('\n'), notes }
}

/** Text inside a docstring. */
const cleanDoc = (text: string): string => text.replaceAll('"""', "'''").replaceAll('\\', '/')

/** The model's source, and node types that change rows between their file and Train. */
function originOf(document: Pipeline, node: string): { model: string | null; between: string[] } {
  const seen = new Set<string>([node])
  const queue = [node]
  let model: string | null = null
  const between = new Set<string>()
  for (let at = queue.pop(); at; at = queue.pop())
    for (const { from, to } of document.edges) {
      if (to.node !== at || seen.has(from.node)) continue
      seen.add(from.node)
      queue.push(from.node)
      const source = document.nodes[from.node]
      if (source?.type === 'load-model') model = String(source.params.model ?? '')
      else if (source && source.type !== 'load-data' && source.type !== 'freeze-layers') between.add(source.type)
    }
  return { model, between: [...between] }
}

const PROGRAM = String.raw`

# Thaw's own random numbers, so that the rows come in the same order: xoshiro128**, seeded by splitmix32.
MASK = 0xFFFFFFFF


class Random:
    def __init__(self, seed, stream):
        h = 0x811C9DC5
        for unit in stream.encode("utf-16-le")[::2]:
            h = ((h ^ unit) * 0x01000193) & MASK
        x = (seed ^ (((seed // 2**32) * 0x9E3779B9) & MASK) ^ h) & MASK
        state = []
        for _ in range(4):
            x = (x + 0x9E3779B9) & MASK
            z = x
            z = ((z ^ (z >> 16)) * 0x21F0AAAD) & MASK
            z = ((z ^ (z >> 15)) * 0x735A2D97) & MASK
            state.append(z ^ (z >> 15))
        state[3] |= 1
        self.s = state

    def uint32(self):
        s = self.s
        product = (s[1] * 5) & MASK
        result = ((((product << 7) | (product >> 25)) & MASK) * 9) & MASK
        t = (s[1] << 9) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 11) | (s[3] >> 21)) & MASK
        return result

    def below(self, n):
        limit = 2**32 - (2**32 % n)
        value = self.uint32()
        while value >= limit:
            value = self.uint32()
        return value % n

    def shuffle(self, items):
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


def epoch_batches(lengths, batch, seed, epoch):
    """Shuffled by seed and epoch, then brought near others of similar length."""
    random = Random(seed, f"order of epoch {epoch}")
    order = random.shuffle(list(range(len(lengths))))
    batches = []
    for at in range(0, len(order), batch * 32):
        window = sorted(order[at : at + batch * 32], key=lambda i: (-lengths[i], i))
        batches += [window[i : i + batch] for i in range(0, len(window), batch)]
    return random.shuffle(batches)


def messages_of(row):
    if "messages" in row:
        return row["messages"]
    turn = lambda value, role: [{"role": role, "content": value}] if isinstance(value, str) else value
    return turn(row["prompt"], "user") + turn(row["completion"], "assistant")


def encode(tokenizer, row, train_on):
    """Token ids and, for each, whether it is trained."""
    end = tokenizer.eos_token_id
    if "text" in row:
        ids = tokenizer(row["text"])["input_ids"]
        ids = ids if ids and ids[-1] == end else ids + [end]
        return ids, [1] * len(ids)
    if not tokenizer.chat_template:
        prompt = tokenizer(row["prompt"] + "\n")["input_ids"]
        answer = tokenizer(row["completion"], add_special_tokens=False)["input_ids"] + [end]
        return prompt + answer, [1 if train_on == "all" else 0] * len(prompt) + [1] * len(answer)
    messages = messages_of(row)
    render = lambda part, prompt=False: tokenizer.apply_chat_template(part, tokenize=False, add_generation_prompt=prompt)
    text = render(messages)
    special = [str(token) for token in tokenizer.all_special_tokens]
    if train_on == "all":
        spans = [(0, len(text))]
    else:
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        if "messages" not in row or train_on in ("completion", "last_turn"):
            turns = turns[-1:] if turns and turns[-1] == len(messages) - 1 else []
        spans = []
        for i in turns:
            before, upto = render(messages[:i], True), render(messages[: i + 1])
            if not text.startswith(before) or not text.startswith(upto.rstrip()):
                raise SystemExit("The chat template does not put the generation prompt before an answer.")
            trimmed = upto.rstrip()
            spans.append((len(before), len(trimmed) if any(trimmed.endswith(token) for token in special) else len(upto)))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    mask = [int(any(a >= start and b <= stop and b > a for start, stop in spans)) for a, b in encoded["offset_mapping"]]
    return encoded["input_ids"], mask


def load_rows(path, tokenizer):
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                ids, mask = encode(tokenizer, json.loads(line), SETTINGS["train_on"])
                if len(ids) <= SETTINGS["max_length"]:
                    rows.append((ids, mask))
    return rows


def loss_of(model, rows, device):
    """Sum of the losses of the trained tokens, and their number."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), -100)
    attention = torch.zeros(len(rows), length, dtype=torch.long)
    for i, (row, mask) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        attention[i, : len(row)] = 1
        labels[i, : len(row)] = torch.tensor([token if trained else -100 for token, trained in zip(row, mask)])
    logits = model(input_ids=ids.to(device), attention_mask=attention.to(device)).logits[:, :-1].float()
    targets = labels[:, 1:].to(device)
    total = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=-100, reduction="sum")
    return total, int((targets != -100).sum())


@torch.no_grad()
def evaluate(model, rows, device):
    model.eval()
    batch = SETTINGS["per_device_eval_batch_size"]
    parts = [loss_of(model, rows[i : i + batch], device) for i in range(0, len(rows), batch)]
    model.train()
    return sum(float(total) for total, _ in parts) / sum(count for _, count in parts)


def open_parameters(model):
    """What may change: an adapter, the layers that were open in Thaw, or everything."""
    if SETTINGS.get("method", "full") != "full":
        from peft import LoraConfig, get_peft_model

        targets = {
            "all-linear": "all-linear",
            "attention": r".*(q_proj|k_proj|v_proj|o_proj|qkv_proj|c_attn|attn\.c_proj)$",
            "mlp": r".*(gate_proj|up_proj|down_proj|gate_up_proj|c_fc|mlp\.c_proj)$",
            "names": SETTINGS["target_names"],
        }[SETTINGS["target_modules"]]
        config = LoraConfig(
            r=SETTINGS["r"],
            lora_alpha=SETTINGS["lora_alpha"],
            lora_dropout=SETTINGS.get("lora_dropout", 0.0),
            target_modules=targets,
            use_rslora=SETTINGS["method"] == "rslora",
            use_dora=SETTINGS["method"] == "dora",
            init_lora_weights="gaussian" if SETTINGS["init_lora_weights"] == "gaussian" else True,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, config)
    names = SETTINGS["trainable"]
    if names is not None:
        missing = set(names) - {name for name, _ in model.named_parameters()}
        if missing:
            raise SystemExit(f"This model has no {sorted(missing)[0]}.")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in names)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--validation")
    parser.add_argument("--out", default="tuned")
    args = parser.parse_args()
    s = SETTINGS
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(s["seed"])
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = open_parameters(AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)).to(device)
    model.train()
    for module in model.modules():
        # Thaw's forward pass has no dropout of the base model.
        if isinstance(module, torch.nn.Dropout) and s.get("method", "full") == "full":
            module.p = 0.0
    rows = load_rows(args.train, tokenizer)
    validation = load_rows(args.validation, tokenizer) if args.validation else []
    batch, accumulation = s["per_device_train_batch_size"], s["gradient_accumulation_steps"]
    per_epoch = math.ceil(math.ceil(len(rows) / batch) / accumulation)
    total = s["max_steps"] if s["max_steps"] > 0 else max(1, math.ceil(s["num_train_epochs"] * per_epoch))
    warmup = math.ceil(s["warmup_steps"] * total) if s["warmup_steps"] < 1 else int(s["warmup_steps"])

    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": s["weight_decay"]},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if s.get("optim") == "sgd":
        optimizer = torch.optim.SGD(groups, lr=s["learning_rate"], momentum=s.get("momentum", 0.0), nesterov=s.get("nesterov", False))
    else:
        optimizer = torch.optim.AdamW(groups, lr=s["learning_rate"], betas=(s["adam_beta1"], s["adam_beta2"]), eps=s["adam_epsilon"])
    name = s["lr_scheduler_type"]
    extra = {
        "cosine_with_restarts": {"num_cycles": int(s.get("num_cycles", 1))},
        "cosine_with_min_lr": {"min_lr_rate": s.get("min_lr_rate", 0.1)},
        "polynomial": {"power": s.get("power", 1.0)},
    }.get(name)
    scheduler = get_scheduler(name, optimizer, warmup, total, scheduler_specific_kwargs=extra)

    best, best_state, step = math.inf, None, 0
    keep = lambda: {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    for epoch in range(math.ceil(total / per_epoch)):
        batches = epoch_batches([len(ids) for ids, _ in rows], batch, s["seed"], epoch)
        for at in range(0, len(batches), accumulation):
            if step == total:
                break
            micro = [[rows[i] for i in indices] for indices in batches[at : at + accumulation]]
            tokens = sum(sum(mask[1:]) for part in micro for _, mask in part)
            summed = 0.0
            for part in micro:
                part_loss, _ = loss_of(model, part, device)
                (part_loss / tokens).backward()
                summed += float(part_loss.detach())
            norm = torch.nn.utils.clip_grad_norm_(trained, s["max_grad_norm"] if s["max_grad_norm"] > 0 else math.inf)
            rate = scheduler.get_last_lr()[0]
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            step += 1
            print(json.dumps({"step": step, "loss": summed / tokens, "grad_norm": float(norm), "learning_rate": rate}), flush=True)
            if validation and s["eval_steps"] and (step % s["eval_steps"] == 0 or step == total):
                loss = evaluate(model, validation, device)
                print(json.dumps({"step": step, "eval_loss": loss}), flush=True)
                if s["load_best_model_at_end"] and loss < best:
                    best, best_state = loss, keep()
    if best_state:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in best_state:
                    parameter.copy_(best_state[name])
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)


if __name__ == "__main__":
    main()
`
