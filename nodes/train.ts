import * as z from 'zod'
import { adapterSettings, adapterWords, METHOD_NAMES, resolveAdapter } from './_kit/adapters'
import { defineNode } from './_kit/define-node'
import { FLOPS_PER_SECOND, forwardFlopsPerToken, tokensOfChars, trainBytes, trainFlopsPerToken, WARM_UP_SECONDS } from './_kit/estimate'
import type { NodeProblem } from './_kit/facts'
import { countAll } from './_kit/freeze'
import { NodeError, throwProblem } from './_kit/node-error'
import { isOpenEnded, optimizerStateBytes } from './_kit/optimizer-params'
import { resolveTrain, stepsPerEpochOf, totalStepsOf, type Wiring } from './_kit/resolve-train'
import { trainArguments } from './_kit/train-arguments'
import { trainParams } from './_kit/train-params'
import { followTraining, type TrainJob } from './_kit/train-run'
import { countWords, plural, rateWords } from './_kit/words'

const TRAINABLE_FORMATS: readonly string[] = ['messages', 'prompt_completion', 'text']

export const train = defineNode({
  type: 'train',
  title: 'Train',
  summary: 'Fine-tunes the open layers of a model on rows of data.',
  help: `Shows the model each row, measures how badly it predicted the answer, and nudges the open layers so that it does better. Names and meanings of the settings are those of Hugging Face.

Settings at **auto** follow the wiring: a high learning rate for a few open layers, a low one for a whole model; the answers are trained where there are questions. The plan shows the values before the run.

**Method**: train the open layers themselves, or keep the whole model and train an **adapter** beside its linear layers (LoRA, rsLoRA, DoRA). An adapter needs a fraction of the memory and checkpoints of a few megabytes, and its learning rate is about ten times higher. Behind Freeze layers only what it leaves open gets one. Scoring, answers and export read the adapter folded in; Export can also write it alone. A training on top of an adapter folds it into the weights first.

Wire **validation** rows to see whether the model learns the task or only these rows: when the validation loss rises while the training loss falls, it memorises. With “Keep the best” the model of the lowest validation loss comes out, and with **patience** the training ends when it no longer falls.

**Stop** keeps a checkpoint, and the run continues from it later exactly as if it had never stopped. With a constant schedule, more epochs or steps continue from there too; a linear or cosine schedule depends on the whole length, so another length trains anew.`,
  group: 'Training',
  icon: 'train',
  tags: ['fine-tune', 'finetune', 'sft', 'learn', 'optimizer', 'adamw', 'epochs', 'learning rate', 'loss', 'full', 'selective'],
  params: z.strictObject(trainParams),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to train; what Freeze layers opened, or all of it.' },
    data: { kind: 'dataset', title: 'Data', description: 'Rows to learn from.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows to watch, never trained on.', optional: true },
  },
  outputs: {
    model: { kind: 'model', title: 'Model', description: 'The trained model.' },
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Loss, steps, speed and time of this training.' },
  },
  purity: 'seeded',
  resource: 'engine',
  // A schedule or a warm-up measured by the whole length makes the length part of what is trained (R-66).
  extent: (params) => (isOpenEnded(params) ? ['num_train_epochs', 'max_steps'] : []),
  infer({ params, inputs }) {
    const model = inputs.model?.kind === 'model' ? inputs.model.facts : null
    const data = inputs.data?.kind === 'dataset' ? inputs.data.facts : null
    const validation = inputs.validation?.kind === 'dataset' ? inputs.validation.facts : null
    const problems: NodeProblem[] = []
    const all = model ? countAll(model.parameters) : null
    const { adapter, problems: adapterProblems } = model ? resolveAdapter(params, model, model.trainable) : { adapter: null, problems: [] }
    problems.push(...adapterProblems)
    const wiring: Wiring = {
      trainableShare: model && all ? (model.trainable ? model.trainable.parameters / all : 1) : null,
      parameters: all,
      contextLength: model?.contextLength ?? null,
      rows: data?.rows ?? null,
      chars: data?.chars ?? null,
      format: data?.format ?? null,
      validation: inputs.validation !== undefined,
      adapter: params.method !== 'full',
    }
    const resolved = resolveTrain(params, wiring)
    if (data?.format && !TRAINABLE_FORMATS.includes(data.format)) problems.push(formatProblem(data.format))
    if (data?.format === 'messages' && model && !model.hasChatTemplate)
      problems.push({
        severity: 'error',
        code: 'no_chat_template',
        message: `The data are conversations, and ${model.name} has no chat template to write them with.`,
        expected: 'a model with a chat template, or prompts with completions',
        got: 'conversations',
      })
    if (model && typeof params.max_length === 'number' && params.max_length > model.contextLength)
      problems.push({
        severity: 'error',
        code: 'longer_than_context',
        param: 'max_length',
        message: `${model.name} reads at most ${plural(model.contextLength, 'token')}.`,
        expected: `at most ${model.contextLength}`,
        got: String(params.max_length),
        fix: { label: `Use ${model.contextLength}`, params: { max_length: model.contextLength } },
      })
    if (params.train_on === 'completion' && data?.format === 'text')
      problems.push({
        severity: 'error',
        code: 'nothing_to_train',
        param: 'train_on',
        message: 'Plain text has no completion to train on.',
        expected: 'everything',
        got: 'the completion',
        fix: { label: 'Train on everything', params: { train_on: 'all' } },
      })
    if (typeof params.learning_rate === 'number' && params.learning_rate > 0.01 && params.optim !== 'sgd')
      problems.push({
        severity: 'warning',
        code: 'high_learning_rate',
        param: 'learning_rate',
        message: 'Rates above 0.01 almost always destroy a pretrained model.',
        fix: { label: 'Choose automatically', params: { learning_rate: 'auto' } },
      })

    if (params.early_stopping_patience > 0 && !inputs.validation)
      problems.push({
        severity: 'warning',
        code: 'no_validation',
        param: 'early_stopping_patience',
        message: 'Without validation rows there is nothing that could stop getting better.',
        expected: 'validation rows',
        got: 'none',
        fix: { label: 'Never end early', params: { early_stopping_patience: 0 } },
      })
    const batch = resolved.per_device_train_batch_size
    const perEpoch = data?.rows && typeof batch === 'number' ? stepsPerEpochOf(data.rows, batch, params.gradient_accumulation_steps) : null
    const steps = perEpoch === null ? null : totalStepsOf(perEpoch, params.num_train_epochs, params.max_steps)
    const changed = Object.fromEntries(
      Object.entries(resolved).filter(([name, value]) => value !== 'auto' && (params as Record<string, unknown>)[name] === 'auto'),
    )
    const card = [
      {
        label: 'Learning rate',
        value:
          typeof resolved.learning_rate === 'number'
            ? `${rateWords(resolved.learning_rate)}${params.learning_rate === 'auto' ? ', auto' : ''}`
            : 'auto',
      },
      steps === null
        ? { label: 'Epochs', value: String(params.num_train_epochs) }
        : {
            label: 'Steps',
            value: `${steps.toLocaleString('en-US')}${params.max_steps > 0 ? '' : ` (${plural(params.num_train_epochs, 'epoch')})`}`,
          },
      adapter
        ? { label: METHOD_NAMES[adapter.method], value: `rank ${adapter.r}, ${countWords(adapter.parameters)}` }
        : {
            label: 'Batch size',
            value:
              params.gradient_accumulation_steps > 1 && typeof batch === 'number'
                ? `${batch} × ${params.gradient_accumulation_steps}`
                : String(batch),
          },
    ]
    if (!model) return { resolved: changed, card, problems }
    const estimate = (() => {
      if (!data?.chars || steps === null || perEpoch === null || typeof batch !== 'number' || !data.rows) return undefined
      const length = tokensOfChars(data.chars.mean)
      const tokens = steps * batch * params.gradient_accumulation_steps * length
      const evaluations =
        validation?.rows && typeof resolved.eval_steps === 'number' && resolved.eval_steps > 0 ? Math.floor(steps / resolved.eval_steps) : 0
      const flops =
        tokens * trainFlopsPerToken(model, model.trainable, length, adapter) +
        evaluations * (validation?.rows ?? 0) * length * forwardFlopsPerToken(model, length)
      const trainable = adapter?.parameters ?? model.trainable?.parameters ?? all ?? 0
      return {
        seconds: Math.round(WARM_UP_SECONDS + flops / FLOPS_PER_SECOND),
        memoryBytes: Math.round(
          trainBytes(
            model,
            model.trainable,
            batch,
            Math.min(
              tokensOfChars(data.chars.max),
              typeof resolved.max_length === 'number' ? resolved.max_length : Number.POSITIVE_INFINITY,
            ),
            adapter,
            optimizerStateBytes(params),
          ) + (params.ema_decay ? 4 * trainable : 0),
        ),
        // The result, and up to three checkpoints of weights with the optimizer's state, and their average where it is kept.
        diskBytes: 4 * trainable + 3 * Math.round(optimizerStateBytes(params) + (params.ema_decay ? 4 : 0)) * trainable,
      }
    })()
    return {
      outputs: {
        model: {
          kind: 'model',
          facts: {
            ...model,
            trainedOn: data ? [...model.trainedOn, data.origin] : model.trainedOn,
            adapter: adapter ? { method: adapter.method, r: adapter.r, parameters: adapter.parameters } : undefined,
          },
        },
        metrics: {
          kind: 'metrics',
          facts: { names: ['train_loss', ...(inputs.validation ? ['eval_loss'] : []), 'steps', 'epochs', 'tokens_per_second', 'seconds'] },
        },
      },
      resolved: changed,
      ...(estimate && { estimate }),
      card,
      problems,
    }
  },
  async run({ params, inputs, ctx }) {
    const { model, data, validation } = inputs
    if (!TRAINABLE_FORMATS.includes(data.format)) {
      const { code, message, expected, got } = formatProblem(data.format)
      throw new NodeError(code, message, { ...(expected && { expected }), ...(got && { got }) })
    }
    if (data.rows === 0) throw new NodeError('no_rows', 'There are no rows to train on.', { expected: 'at least one row', got: 'none' })
    const { adapter, problems } =
      params.method === 'full' ? { adapter: null, problems: [] } : resolveAdapter(params, await ctx.engine.header(model), model.trainable)
    throwProblem(problems)
    const trainable = adapter?.parameters ?? model.trainable?.parameters ?? model.parameters
    const args = trainArguments(params, {
      trainableShare: model.trainable ? model.trainable.parameters / model.parameters : 1,
      parameters: model.parameters,
      contextLength: model.contextLength,
      rows: data.rows,
      chars: data.chars,
      format: data.format,
      validation: validation !== undefined && validation.rows > 0,
      adapter: adapter !== null,
    })
    args.bf16 = params.bf16 === 'auto' ? (ctx.engine.backend.bf16 ?? ctx.engine.backend.name === 'tensorflow') : params.bf16
    ctx.log(
      `${ctx.engine.backend.name} on ${ctx.engine.backend.device}, ${args.bf16 ? 'bfloat16 products' : '32 bit'}; training ${adapter ? `${adapterWords(adapter)} beside ${plural(adapter.targets.length, 'linear layer')} (${countWords(adapter.parameters)} parameters)` : model.trainable ? `${model.trainable.summary} (${countWords(model.trainable.parameters)} parameters)` : `all ${countWords(model.parameters)} parameters`}`,
    )
    ctx.log(
      `learning_rate ${rateWords(args.learning_rate)}, batch ${args.per_device_train_batch_size}${args.gradient_accumulation_steps > 1 ? ` × ${args.gradient_accumulation_steps}` : ''}, ${args.lr_scheduler_type}, max_length ${args.max_length}, train_on ${args.train_on}`,
    )

    const settings = adapterSettings(adapter, params)
    const job: TrainJob = {
      model,
      data,
      trainable: model.trainable,
      args,
      ...(validation && validation.rows > 0 && { validation }),
      ...(settings && { adapter: settings }),
    }
    const { fitVerdict } = await import('../analysis/training/fit')
    return followTraining(ctx, job, trainable, fitVerdict)
  },
})

function formatProblem(format: string): NodeProblem {
  return {
    severity: 'error',
    code: 'format_not_trainable',
    message:
      format === 'table'
        ? 'These rows are a plain table: name the prompt and the completion column in Load data.'
        : `Train cannot use ${format.replaceAll('_', ' ')} rows.`,
    expected: 'messages, prompt and completion, or text',
    got: format.replaceAll('_', ' '),
  }
}
