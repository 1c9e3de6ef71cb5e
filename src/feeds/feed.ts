import { type Identity, isUser, type UserIdentity } from "../auth/identity.ts";
import { fail } from "../errors.ts";
import type { FeedKey } from "../ports/store.ts";
import { tenantKey } from "../util/keys.ts";

/** A feed as one reader sees it. */
export interface NamedFeed {
  /** The name in the contract: `user`, `tenant`, `activity`, `everyone` or `room/<id>`. */
  readonly name: string;
  readonly key: FeedKey;
}

/** A string that identifies the feed among all feeds of all tenants. */
export function feedId({ tenant, name }: FeedKey): string {
  return tenantKey(tenant, name);
}

/** The feed that all tenants share. */
export const everyoneFeed: NamedFeed = { name: "everyone", key: { tenant: "", name: "everyone" } };

/** The name in the contract of every user's own feed. */
export const ownFeedName = "user";

/** A user's own feed. */
export function userFeed(tenant: string, user: string): NamedFeed {
  return { name: ownFeedName, key: { tenant, name: `user/${user}` } };
}

/** A tenant's broadcasts. */
export function tenantFeed(tenant: string): NamedFeed {
  return { name: "tenant", key: { tenant, name: "tenant" } };
}

/** A tenant's activities. */
export function activityFeed(tenant: string): NamedFeed {
  return { name: "activity", key: { tenant, name: "activity" } };
}

/** The feeds whose notifications are in every user's inbox; those of rooms come in addition. */
export function inboxFeeds({ tenant, subject }: UserIdentity): readonly NamedFeed[] {
  return [userFeed(tenant, subject), tenantFeed(tenant), everyoneFeed];
}

/** The feeds that every stream of the caller follows. For a user they begin with those of `inboxFeeds`, in that order. */
export function followedFeeds(identity: Identity): readonly NamedFeed[] {
  if (isUser(identity)) return [...inboxFeeds(identity), activityFeed(identity.tenant)];
  if (identity.tenant === undefined) return [everyoneFeed];
  return [tenantFeed(identity.tenant), everyoneFeed, activityFeed(identity.tenant)];
}

/**
 * The tenant that a request is about: that of the token, or `named` where the token is bound to none. Throws
 * TENANT_REQUIRED when neither names one, and TENANT_FORBIDDEN when `named` is another tenant than the token's.
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
