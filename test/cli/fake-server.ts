/** A createTidings that records what it is asked for. */
import type { Dependencies } from "../../src/cli/commands/command.ts";
import type { TidingsOptions } from "../../src/options.ts";
import type { ListenOptions } from "../../src/server.ts";

/** A server that serves nothing. */
export class FakeServer {
  options: TidingsOptions | undefined;
  at: ListenOptions | undefined;
  closed = 0;
  /** What listen() throws. */
  listenError: Error | undefined;
  /** What close() waits for. */
  closing: Promise<void> = Promise.resolve();

  readonly createTidings: Dependencies["createTidings"] = async (options) => {
    this.options = options;
    return {
      listen: async (at = {}) => {
        this.at = at;
        if (this.listenError) throw this.listenError;
        const { host = "", port = 0 } = at;
        const bound = port || 4321;
        const url = `${at.tls ? "https" : "http"}://${host}:${bound}`;
        const { metricsAddress } = at;
        const metrics = metricsAddress && `http://${metricsAddress.host}:${metricsAddress.port}/metrics`;
        return { host, port: bound, url, ...(metrics === undefined ? {} : { metrics }) };
      },
      close: () => {
        this.closed++;
        return this.closing;
      },
    };
  };
}
