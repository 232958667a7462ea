import { handleImport } from '../../../server/main'

export const dynamic = 'force-dynamic'
export const POST = handleImport
