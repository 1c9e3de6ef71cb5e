import { LruCache } from "../util/lru.ts";

/** Called with the id of a stored or live message that a codec cannot encode. */
export type ReportUnencodable = (id: string) => void;

/** Ids that are remembered, so that a message that many streams and lists read is reported once. */
const maxIds = 10_000;

/** Returns a function that passes each id on once. */
export function reportOnce(report: ReportUnencodable): ReportUnencodable {
  const reported = new LruCache<string, true>({ entries: maxIds });
  return (id) => {
    if (reported.get(id)) return;
    reported.set(id, true);
    report(id);
  };
}
