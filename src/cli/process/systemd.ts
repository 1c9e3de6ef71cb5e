/** The descriptor of the first socket that systemd passes (sd_listen_fds(3)). */
const firstFd = 3;

/**
 * Returns the descriptor of the socket that systemd has opened for the process `pid`, undefined when there is none. The
 * variables of another process are ignored, as the protocol asks. Throws for several sockets.
 */
export function socketFromSystemd(
  { LISTEN_PID, LISTEN_FDS }: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined || LISTEN_FDS === "0") return undefined;
  if (LISTEN_FDS !== "1") throw new Error(`systemd passes ${LISTEN_FDS} sockets; give the unit one ListenStream`);
  return firstFd;
}
