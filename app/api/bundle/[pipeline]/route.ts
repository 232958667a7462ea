import { handleBundle } from '../../../../server/main'

export const dynamic = 'force-dynamic'
export const GET = handleBundle
