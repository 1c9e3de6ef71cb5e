import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { FeedKey } from "../ports/store.ts";
import { tenantKey } from "../util/keys.ts";

/** A feed under the name that its reader knows it by: `user`, `tenant`, `activity`, `everyone`. */
export interface NamedFeed {
  readonly name: string;
  readonly key: FeedKey;
}

/** One string for a feed. */
export function feedId({ tenant, name }: FeedKey): string {
  return tenantKey(tenant, name);
}

/** The feed that all tenants share. */
export const everyoneFeed: NamedFeed = { name: "everyone", key: { tenant: "", name: "everyone" } };

/** A user's own feed. */
export function userFeed(tenant: string, user: string): NamedFeed {
  return { name: "user", key: { tenant, name: `user/${user}` } };
}

/** A tenant's broadcasts. */
export function tenantFeed(tenant: string): NamedFeed {
  return { name: "tenant", key: { tenant, name: "tenant" } };
}

/** A tenant's activities. */
export function activityFeed(tenant: string): NamedFeed {
  return { name: "activity", key: { tenant, name: "activity" } };
}

/** The feeds whose notifications are in the user's inbox. */
export function inboxFeeds({ tenant, subject }: UserIdentity): readonly NamedFeed[] {
  return [userFeed(tenant, subject), tenantFeed(tenant), everyoneFeed];
}

/** All feeds that the caller is entitled to read. The inbox feeds come first, in the order of inboxFeeds. */
export function followedFeeds(identity: Identity): readonly NamedFeed[] {
  if (isUser(identity)) return [...inboxFeeds(identity), activityFeed(identity.tenant)];
  if (identity.tenant === undefined) return [everyoneFeed];
  return [tenantFeed(identity.tenant), everyoneFeed, activityFeed(identity.tenant)];
}

/**
 * The tenant that a request is about: the credential's. Only a credential that is bound to none may name one, and then
 * it must.
 */
export function tenantOf(identity: Identity, named: string): string {
  if (identity.tenant === undefined) {
    if (named !== "") return named;
    throw fail("TENANT_REQUIRED", "name the tenant; the token is not bound to one", { field: "tenant_id" });
  }
  if (named !== "" && named !== identity.tenant) {
    throw fail("TENANT_FORBIDDEN", "the token is bound to another tenant; leave it empty", { field: "tenant_id" });
  }
  return identity.tenant;
}
