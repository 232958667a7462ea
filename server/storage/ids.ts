/** Ids sort by the time they were made, on every PostgreSQL from 16 on, and are known before the insert. */
import { uuidv7 } from 'uuidv7'

export const newId = (): string => uuidv7()

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
/** Ids come from outside too; what is no id is simply not found, before the database is asked. */
export const isId = (text: string): boolean => UUID.test(text)
