/** Kinds of files that can carry a pipeline, besides data. */
export const CARRIERS = '.json,.zip,.png,.svg,.safetensors,.gguf,.yaml,.yml'

/** What a pipeline from this file is called. */
export const nameOfFile = (file: string): string => file.replace(/(\.thaw)?\.[a-z0-9]+$/i, '').slice(0, 200) || 'Untitled'
