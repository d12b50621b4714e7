"""What a complaints desk decides about each complaint."""

from typing import Literal

from pydantic import BaseModel, Field

Product = Literal[
    "credit_reporting",
    "personal_loan",
    "debt_collection",
    "card",
    "mortgage",
    "bank_account",
    "student_loan",
    "vehicle_loan",
    "money_transfer",
]
Issue = Literal[
    "Attempts to collect debt not owed",
    "Charged fees or interest you didn't expect",
    "Communication tactics",
    "Dealing with your lender or servicer",
    "False statements or representation",
    "Getting the loan",
    "Improper use of your report",
    "Incorrect information on your report",
    "Managing an account",
    "Problem when making payments",
    "Problem with a credit reporting company's investigation into an existing problem",
    "Problem with a purchase shown on your statement",
    "Problem with the payoff process at the end of the loan",
    "Struggling to pay mortgage",
    "Struggling to pay your loan",
    "Took or threatened to take negative or legal action",
    "Trouble during payment process",
    "Written notification about debt",
    "Other",
]
Resolution = Literal["explanation_only", "non_monetary_relief", "monetary_relief"]


class Complaint(BaseModel):
    """The input: what the consumer wrote."""

    narrative: str


class Triage(BaseModel):
    """The output: three fields of one decision."""

    product: Product = Field(description="the product that the complaint is about")
    issue: Issue = Field(description="what went wrong, in the words of the complaint form")
    resolution: Resolution = Field(description="how the company is likely to close the case")
