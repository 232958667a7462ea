/** Text files that belong to a model besides config.json. Each is what a Hugging Face folder would hold. */
export const MODEL_TEXTS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'generation_config.json',
] as const
export type ModelText = (typeof MODEL_TEXTS)[number]
