import { handleReadRun } from '../../../../server/main'

export const dynamic = 'force-dynamic'
export const GET = handleReadRun
