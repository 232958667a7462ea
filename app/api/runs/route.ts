import { handleStartRun } from '../../../server/main'

export const dynamic = 'force-dynamic'
export const POST = handleStartRun
