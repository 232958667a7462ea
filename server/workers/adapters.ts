/** Adapters between handles and the engine: made for a training, stored as PEFT folders, folded in wherever weights are read. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../../engine/errors'
import { type Adapted, createAdapter, withValues } from '../../engine/lora/adapter'
import { loadAdapter, saveAdapter } from '../../engine/lora/files'
import { mergeAdapter } from '../../engine/lora/merge'
import type { LoadedModel } from '../../engine/model'
import type { TrainedWeights } from '../../engine/train/train'
import type { AdapterSettings } from '../../nodes/_kit/context'
import type { AdapterHandle, FileHandle, ModelHandle } from '../../nodes/_kit/ports'
import type { EngineHost } from '../executor/context'
import { readManifest, type StoredFile, store } from './stored-files'

/** A new adapter beside a model's weights. An adapter the model already carries is folded into them. */
export function adapterFor(model: LoadedModel, handle: ModelHandle, settings: AdapterSettings, seed: number): Adapted<LoadedModel> {
  const { name, source } = handle.base
  const hub = /^hub:([^@]+)(?:@(.+))?$/.exec(source)
  return createAdapter(
    model,
    {
      r: settings.r,
      lora_alpha: settings.lora_alpha,
      lora_dropout: settings.lora_dropout,
      target_modules: settings.modules,
      use_rslora: settings.method === 'rslora',
      use_dora: settings.method === 'dora',
      init_lora_weights: settings.init_lora_weights === 'gaussian' ? 'gaussian' : true,
      base_model_name_or_path: hub?.[1] ?? name,
      revision: hub?.[2] ?? null,
    },
    { seed },
  )
}

/** Stores a trained adapter as PEFT would write it. */
export async function storeAdapter(
  host: EngineHost,
  adapted: Adapted<LoadedModel>,
  weights: TrainedWeights,
  method: AdapterHandle['method'],
): Promise<AdapterHandle> {
  const folder = path.join(host.tmp, 'adapter')
  const names = await saveAdapter(folder, await withValues(adapted, weights))
  const files: StoredFile[] = []
  for (const name of names) files.push(await store(host.artifacts, path.join(folder, name), name))
  const { manifest } = await host.artifacts.putManifest('adapter', files)
  const sizes = new Map(adapted.model.parameters.map(({ name, shape }) => [name, shape.reduce((a, b) => a * b, 1)]))
  const parameters = adapted.trainable.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)
  return { manifest, method, r: adapted.config.r, parameters }
}

/** The model with its adapter folded in; the model itself where it carries none. Closing the result closes the model. */
export async function foldedIn(host: EngineHost, model: LoadedModel, { adapter }: ModelHandle): Promise<LoadedModel> {
  if (!adapter) return model
  const folder = path.join(path.dirname(host.tmp), 'models', adapter.manifest)
  fs.mkdirSync(folder, { recursive: true })
  for (const file of await readManifest(host.artifacts, adapter.manifest)) {
    const link = path.join(folder, path.basename(file.path))
    if (!fs.existsSync(link)) fs.symlinkSync(await host.artifacts.path(file.digest), link)
  }
  return mergeAdapter(loadAdapter(model, folder))
}

/** The adapter's own files as an export, with a model card. */
export async function exportAdapter(host: EngineHost, model: ModelHandle, name: string, card: string): Promise<FileHandle> {
  if (!model.adapter)
    throw new EngineError('bad_argument', 'this model carries no adapter', { where: 'export', fix: 'export the whole model' })
  if (model.delta)
    throw new EngineError('bad_argument', 'the adapter stands on weights that were trained before it, which are in no other file', {
      where: 'export',
      fix: 'export the whole model, or train the adapter straight on the base',
    })
  const readme = path.join(host.tmp, 'README.md')
  fs.writeFileSync(readme, card)
  const files = [...(await readManifest(host.artifacts, model.adapter.manifest)), await store(host.artifacts, readme, 'README.md')]
  return host.artifacts.putManifest(name, files)
}
