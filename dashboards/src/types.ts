// A panel that is being built, whatever its kind.

import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import type { Panel } from "@grafana/grafana-foundation-sdk/dashboard";

export type AnyPanel = Builder<Panel>;
