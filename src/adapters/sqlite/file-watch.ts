import type { DatabaseFiles } from "./database.ts";
import { findFile } from "./file-id.ts";

/** Time between two looks at the files, in ms. */
const intervalMs = 1000;
/**
 * The size up to which the write-ahead log grows in normal use, in bytes: 4,000 pages with their headers, after which
 * SQLite writes it into the file and begins it anew, and room for the last commit.
 */
const usualBytes = 20 * 1024 * 1024;
/** The size above which the log gives its disk space back, in bytes. */
const truncateBytes = 64 * 1024 * 1024;

/** What a watch reports. */
export interface FileWatchEvents {
  /** Whether the files on the disk are no more those that are open. Called after every look. */
  moved(isMoved: boolean): void;
  /** Has the log written into the file. Rejects when that fails. */
  checkpoint(truncate: boolean): Promise<unknown>;
  /** The result of a checkpoint: its error, or undefined. */
  checkpointed(error: unknown): void;
}

/**
 * Looks at the files of a database every second. Nothing else would notice that they were removed or replaced, since an
 * open file goes on without its name, nor that the log grows because it cannot be written into the file.
 */
export class FileWatch {
  readonly #events: FileWatchEvents;
  /** Undefined while no thread has them open. */
  #files: DatabaseFiles | undefined;
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;
  #isFailing = false;
  #walBytes = 0;
  /** The size up to which the log was found to be in order. */
  #acceptedBytes = usualBytes;

  constructor(files: DatabaseFiles, events: FileWatchEvents) {
    this.#files = files;
    this.#events = events;
    this.#timer = setInterval(() => void this.#look(), intervalMs).unref();
  }

  /** The size of the write-ahead log, in bytes. */
  get walBytes(): number {
    return this.#walBytes;
  }

  /** Watches these files from now on; none while the thread is being restarted, which may create a new log. */
  set files(files: DatabaseFiles | undefined) {
    this.#files = files;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const files = this.#files;
    // The disk may be slow, or the thread busy.
    if (files === undefined || this.#isLooking) return;
    this.#isLooking = true;
    try {
      const [main, wal] = await Promise.all([findFile(files.main.path), findFile(files.wal.path)]);
      if (files !== this.#files) return;
      this.#walBytes = wal?.size ?? 0;
      const isMoved = main?.id !== files.main.id || wal?.id !== files.wal.id;
      this.#events.moved(isMoved);
      if (!isMoved) await this.#checkLog();
    } catch {
      // The system cannot report the file now. The calls of the store report their own errors.
    } finally {
      this.#isLooking = false;
    }
  }

  /** Asks for a checkpoint when the log has grown beyond its accepted size, or when the last checkpoint failed. */
  async #checkLog(): Promise<void> {
    if (this.#walBytes <= this.#acceptedBytes && !this.#isFailing) return;
    const truncate = this.#isFailing || this.#walBytes > truncateBytes;
    try {
      await this.#events.checkpoint(truncate);
      this.#isFailing = false;
      this.#acceptedBytes = truncate ? usualBytes : this.#walBytes;
      this.#events.checkpointed(undefined);
    } catch (error) {
      this.#isFailing = true;
      this.#events.checkpointed(error);
    }
  }
}
