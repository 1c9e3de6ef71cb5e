/** A fake of createTidings that records its arguments. */
import type { Dependencies } from "../../src/cli/command.ts";
import type { TidingsOptions } from "../../src/options.ts";
import type { ListenOptions, ReloadOptions } from "../../src/server.ts";

/** A server that opens no port. */
export class FakeServer {
  options: TidingsOptions | undefined;
  at: ListenOptions | undefined;
  /** The number of calls of close(). */
  closed = 0;
  /** The arguments of reload(). */
  readonly reloads: ReloadOptions[] = [];
  /** The error that listen() rejects with; undefined to succeed. */
  listenError: Error | undefined;
  /** The property `failed`. */
  failed = new Promise<Error>(() => {});
  /** The result of close(). */
  closing: Promise<void> = Promise.resolve();

  readonly createTidings: Dependencies["createTidings"] = async (options) => {
    this.options = options;
    return {
      failed: this.failed,
      reload: (fresh) => void this.reloads.push(fresh),
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
