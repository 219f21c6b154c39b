// Starts the console.
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import './theme.css';
import { ApiFailure } from '@/api/client';
import { takeOneTimeToken } from '@/api/session';
import { Gate } from '@/app/Gate';
import { applyPreferences, useLocale } from '@/app/preferences';
import { router } from '@/app/router';
import { Messages } from '@/ui/dialog';

// Before anything else could read the address.
const oneTimeToken = takeOneTimeToken();
applyPreferences();

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5000,
      // What the host refuses it refuses again; what does not reach it may reach it later.
      retry: (times, error) => error instanceof ApiFailure && error.status === 0 && times < 3,
    },
    mutations: { networkMode: 'always' },
  },
});

function App() {
  useLocale();
  return (
    <QueryClientProvider client={queries}>
      <Messages>
        <Gate oneTimeToken={oneTimeToken}>
          <RouterProvider router={router} />
        </Gate>
      </Messages>
    </QueryClientProvider>
  );
}

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
