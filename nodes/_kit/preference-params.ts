/** Form fields of preference training, by TRL's names, and what the engine is given. */
import * as z from 'zod'
import type { PreferenceSettings } from './context'
import { autoOr } from './train-params'

/** Compare with the model as it was. */
const REFERENCE_LOSSES = ['sigmoid', 'ipo', 'hinge', 'robust', 'apo_zero', 'apo_down'] as const
export const PREFERENCE_LOSSES = [...REFERENCE_LOSSES, 'orpo', 'simpo', 'cpo', 'kto'] as const
export type PreferenceLossType = (typeof PREFERENCE_LOSSES)[number]

export const LOSS_NAMES: Readonly<Record<PreferenceLossType, string>> = {
  sigmoid: 'DPO',
  ipo: 'IPO',
  hinge: 'Hinge (SLiC)',
  robust: 'Robust DPO',
  apo_zero: 'APO zero',
  apo_down: 'APO down',
  orpo: 'ORPO',
  simpo: 'SimPO',
  cpo: 'CPO',
  kto: 'KTO',
}

/** β where nothing is said (SCI-114: SimPO's is larger, since it multiplies means per token). */
export const betaOf = (loss: PreferenceLossType): number => (loss === 'simpo' ? 2 : 0.1)
/** Whether log-probabilities of the model as it was are computed first. */
export const hasReference = (loss: PreferenceLossType): boolean => loss === 'kto' || (REFERENCE_LOSSES as readonly string[]).includes(loss)

export const preferenceParams = {
  loss_type: z.enum(PREFERENCE_LOSSES).default('sigmoid').meta({
    title: 'Loss',
    description:
      'DPO compares with the model as it was; ORPO and SimPO need no such comparison; KTO takes single answers that were rated good or bad.',
    labels: LOSS_NAMES,
  }),
  beta: autoOr(z.number().min(0.001).max(100)).default('auto').meta({
    title: 'β',
    description: 'How strongly a preference pulls. With DPO a larger value stays closer to the model as it was.',
    scale: 'log',
  }),
  gamma_beta_ratio: z
    .number()
    .min(0)
    .max(10)
    .default(0.5)
    .meta({
      title: 'Margin',
      description: 'By how much the chosen answer should lead, as a share of β.',
      showIf: { loss_type: ['simpo'] },
      advanced: true,
    }),
  label_smoothing: z
    .number()
    .min(0)
    .max(0.49)
    .default(0)
    .meta({
      title: 'Wrong labels',
      description: 'Share of pairs taken to be the wrong way round.',
      showIf: { loss_type: ['sigmoid', 'robust', 'simpo', 'cpo'] },
      advanced: true,
    }),
  rpo_alpha: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .meta({
      title: 'Also learn the chosen answer',
      description: 'Weight of the ordinary loss on chosen answers; helps where their own probability falls. 1 is usual, 0 is off.',
      showIf: { loss_type: [...REFERENCE_LOSSES, 'simpo'] },
      advanced: true,
    }),
  desirable_weight: z
    .number()
    .min(0.01)
    .max(100)
    .default(1)
    .meta({
      title: 'Weight of good answers',
      description: 'Raise it where good answers are few.',
      showIf: { loss_type: ['kto'] },
      advanced: true,
    }),
  undesirable_weight: z
    .number()
    .min(0.01)
    .max(100)
    .default(1)
    .meta({
      title: 'Weight of bad answers',
      description: 'Raise it where bad answers are few.',
      showIf: { loss_type: ['kto'] },
      advanced: true,
    }),
}
type Params = z.output<z.ZodObject<typeof preferenceParams>>

/** Only what the loss takes. */
export function preferenceSettings(params: Params): PreferenceSettings {
  const { loss_type } = params
  const beta = params.beta === 'auto' ? betaOf(loss_type) : params.beta
  const smooth = ['sigmoid', 'robust', 'simpo', 'cpo'].includes(loss_type)
  return {
    loss_type,
    beta,
    gamma: loss_type === 'simpo' ? beta * params.gamma_beta_ratio : 0,
    label_smoothing: smooth ? params.label_smoothing : 0,
    rpo_alpha: hasReference(loss_type) && loss_type !== 'kto' ? params.rpo_alpha : loss_type === 'simpo' ? params.rpo_alpha : 0,
    desirable_weight: params.desirable_weight,
    undesirable_weight: params.undesirable_weight,
  }
}
