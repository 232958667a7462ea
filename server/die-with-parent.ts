/** Preloaded into the web process (`node --import`): when the supervisor is gone, so is this process. Next knows nothing of it. */
process.on('disconnect', () => process.exit(0))
// The channel alone must not keep the process alive.
process.channel?.unref()
