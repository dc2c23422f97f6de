"""The pages of the routes: what there is, how one is written and tried, versions and the way back."""
