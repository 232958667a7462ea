/** The command line as data: one small parser, so that every command refuses unknown options by name. */
import { nearest } from '../nodes/_kit/problems'
import { AppError } from '../server/errors'

export type Options = {
  /** Option name → whether it takes a value, and may be repeated. */
  flags: readonly string[]
  values: readonly string[]
}
export type Parsed = { positional: string[]; flags: Set<string>; values: Map<string, string[]> }

const bad = (message: string, fields: { got?: string; expected?: string } = {}) =>
  new AppError('INVALID_INPUT', { message, where: 'the command line', fix: 'thaw <command> --help lists the options.', ...fields })

/** @throws AppError INVALID_INPUT that names the option, and the one that was probably meant. */
export function parse(args: readonly string[], options: Options): Parsed {
  const parsed: Parsed = { positional: [], flags: new Set(), values: new Map() }
  const known = [...options.flags, ...options.values]
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? ''
    if (argument === '--') {
      parsed.positional.push(...args.slice(i + 1))
      break
    }
    if (!argument.startsWith('--')) {
      if (argument.startsWith('-') && argument !== '-')
        throw bad(`There is no option "${argument}".`, { got: argument, expected: known.join(', ') })
      parsed.positional.push(argument)
      continue
    }
    const [name = '', ...rest] = argument.split('=')
    if (options.flags.includes(name) && rest.length === 0) parsed.flags.add(name)
    else if (options.values.includes(name)) {
      const value = rest.length > 0 ? rest.join('=') : args[++i]
      if (value === undefined) throw bad(`${name} needs a value.`, { got: 'nothing' })
      parsed.values.set(name, [...(parsed.values.get(name) ?? []), value])
    } else {
      const meant = nearest(name, known)
      throw bad(`There is no option "${name}"${meant ? `. Did you mean ${meant}?` : '.'}`, { got: argument, expected: known.join(', ') })
    }
  }
  return parsed
}

/** `a.b=c` → a.b and c. @throws AppError INVALID_INPUT */
export function assignment(text: string, option: string): { name: string; value: string } {
  const at = text.indexOf('=')
  if (at < 1) throw bad(`${option} takes a name and a value.`, { expected: `${option} name=value`, got: text })
  return { name: text.slice(0, at), value: text.slice(at + 1) }
}
