// Which page an address shows. What a page shows stands in its address, so that a copied link shows the same.
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
  type RouteComponent,
} from '@tanstack/react-router';

import { PerformancePage } from '@/performance/PerformancePage';
import { m } from '@/paraglide/messages.js';
import { Failure } from '@/ui/states';
import { useLocale } from './preferences';
import { Shell } from './Shell';

/** Which figure of each stage is drawn. The mean is the only one whose stages sum to the host's. */
export type Statistic = 'mean' | 'p50' | 'p99';

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
const whole = (value: unknown) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
const statistic = (value: unknown): Statistic | undefined =>
  value === 'mean' || value === 'p50' || value === 'p99' ? value : undefined;
/** Leaves out what is not set. */
function given<T extends object>(search: T) {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * A page that changes its language while it is shown. What is typed or chosen on it stays; `anew`: there is no such thing on
 * it, and all of its graphs are drawn anew.
 */
function inLanguage(Page: RouteComponent, anew = false): RouteComponent {
  const Shown: RouteComponent = () => {
    const locale = useLocale();
    return <Page key={anew ? locale : ''} />;
  };
  if (Page.preload) Shown.preload = Page.preload;
  return Shown;
}

const root = createRootRoute({
  component: inLanguage(Shell),
  notFoundComponent: inLanguage(() => <h1 className="py-10 text-center">{m.no_such_page()}</h1>),
  errorComponent: ({ error, reset }) => <Failure error={error} again={reset} />,
});

const performance = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: (search) =>
    given({ session: text(search['session']), stat: statistic(search['stat']) }),
  component: inLanguage(PerformancePage),
});

const recordings = createRoute({
  getParentRoute: () => root,
  path: '/recordings',
  validateSearch: (search) =>
    given({
      q: text(search['q']),
      kind: text(search['kind']),
      sort: text(search['sort']),
    }),
  component: inLanguage(
    lazyRouteComponent(() => import('@/recordings/RecordingsPage'), 'RecordingsPage'),
  ),
});

const recording = createRoute({
  getParentRoute: () => root,
  path: '/recordings/$id',
  validateSearch: (search) =>
    given({
      session: text(search['session']),
      stat: statistic(search['stat']),
      from: whole(search['from']),
      to: whole(search['to']),
      at: whole(search['at']),
      dist: text(search['dist']),
    }),
  component: inLanguage(
    lazyRouteComponent(() => import('@/recording/RecordingPage'), 'RecordingPage'),
    true,
  ),
});

const compare = createRoute({
  getParentRoute: () => root,
  path: '/compare',
  validateSearch: (search) =>
    given({
      ids: text(search['ids']),
      stage: text(search['stage']),
      stat: statistic(search['stat']),
      sessions: text(search['sessions']),
      from: whole(search['from']),
      to: whole(search['to']),
    }),
  component: inLanguage(
    lazyRouteComponent(() => import('@/compare/ComparePage'), 'ComparePage'),
    true,
  ),
});

const clients = createRoute({
  getParentRoute: () => root,
  path: '/clients',
  component: inLanguage(lazyRouteComponent(() => import('@/clients/ClientsPage'), 'ClientsPage')),
});

const index = createRoute({
  getParentRoute: () => root,
  path: '/index.html',
  beforeLoad: () => {
    throw redirect({ to: '/' });
  },
});

export const router = createRouter({
  routeTree: root.addChildren([performance, recordings, recording, compare, clients, index]),
  defaultPreload: 'intent',
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
