/** Whether a piece of an address can be the id of anything we made: all are UUIDs. What cannot is a wrong link, not a failed request. */
export const isId = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
